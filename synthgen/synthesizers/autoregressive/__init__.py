"""`autoregressive`: a network and trees per column. model.py is the way in."""
