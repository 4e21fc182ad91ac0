"""`ctgan`: the conditional table GAN. model.py is the way in."""
