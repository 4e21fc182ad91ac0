"""Do the synthetic rows betray training rows?"""
