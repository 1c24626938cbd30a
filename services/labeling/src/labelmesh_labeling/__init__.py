"""The labeling service: projects, images, leases, annotations and statistics."""
