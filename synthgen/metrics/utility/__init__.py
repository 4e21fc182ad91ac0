"""Do the synthetic rows help a classifier?"""
