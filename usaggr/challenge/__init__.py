"""The FM_UIA challenge: its layout of predictions, and scores of predictions in that layout."""
