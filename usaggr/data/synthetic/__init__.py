"""Phantoms: anatomy is drawn, a probe looks at it, and the labels follow from what was drawn.

Shapes (`shapes`) fill a body with tissues (`tissue`, `body`), one file a region of the body; `acoustics` makes an
image of it as the probe of `geometry` sees it. `patient_pools` says which task shows what, `image_plan` which images
there are, `picture` draws one of them, `writer` writes all. How hard the tasks are is said in `difficulty`.

What decides how pictures look changes only together with GENERATOR_VERSION (`writer`).
"""
