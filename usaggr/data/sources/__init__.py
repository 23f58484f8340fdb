"""Readers of other layouts: from folders of images, or COCO's JSON, to an index in the FM_UIA layout."""
