"""Phantoms: simulated ultrasound images of drawn anatomy, whose labels follow from the drawing.

Shapes (`shapes`) fill a body (`body`) with tissues (`tissue`); each region of the body has its own module. `acoustics`
simulates the image that the probe of `geometry` shows. `patient_pools` defines the anatomy of each task, `image_plan`
lists the images, `picture` draws one image, and `writer` writes all. `difficulty` sets how difficult the tasks are.

Code that determines the pictures changes only together with GENERATOR_VERSION (`writer`).
"""
