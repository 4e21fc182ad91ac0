"""What image and tabular GANs share."""
