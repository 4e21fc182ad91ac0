"""Are the synthetic rows like real ones?"""
