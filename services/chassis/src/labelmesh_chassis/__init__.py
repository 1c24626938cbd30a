"""What any gRPC service of the mesh needs, and no product noun."""
