"""The interface of the first augmentation server: the address of an image in, the image randomly augmented out."""
