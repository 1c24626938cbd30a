"""What can be done to a picture: each transform says its parameters and its effect."""
