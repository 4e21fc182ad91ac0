"""Which groups are lost or distorted, and whom does the augmented classifier treat worse?"""
