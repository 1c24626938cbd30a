"""Picture files: read with care, written as they were."""
