"""Readers of other layouts (folders of images, COCO's JSON), which make an index in the FM_UIA layout."""
