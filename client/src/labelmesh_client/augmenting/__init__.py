"""A folder of pictures with labels, augmented: what is in it, its labels, what is done already, and what comes out."""
