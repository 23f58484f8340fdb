"""The FM_UIA challenge's interface: its layout of predictions, and its scores of them."""
