"""Liver, the abdomen's other organs, ovary and uterus: curved probe, deep, under an abdominal wall."""

import numpy as np

from usaggr.data.synthetic.scene import Probe, Scene, Structure
from usaggr.data.synthetic.shapes import blob, capsule, ellipse, layer, without

Generator = np.random.Generator

FLUID, LIVER, WALL, BONE = -45.0, -15.0, -12.0, 2.0


def _probe(rng: Generator) -> Probe:
    height = int(rng.integers(150, 185))
    return Probe("curved", int(height * rng.uniform(1.1, 1.25)), height, radius=0.45, angle=0.6)


def _wall(rng: Generator) -> list[Structure]:
    wave = (rng.uniform(0.004, 0.012), rng.uniform(0.6, 1.2), rng.uniform(0, 6))
    return [Structure(layer(-0.1, rng.uniform(0.09, 0.14), wave=wave), WALL, edge=-4, edge_width=0.012)]


def _vessels(rng: Generator, count: int) -> list[Structure]:
    parts = []
    for _ in range(count):
        x, y = rng.uniform(-0.4, 0.4), rng.uniform(0.3, 0.85)
        end = (x + rng.uniform(-0.16, 0.16), y + rng.uniform(-0.1, 0.1))
        parts.append(Structure(capsule((x, y), end, rng.uniform(0.012, 0.022)), -40, edge=-12, attenuation=0.3))
    return parts


def liver_lesion(rng: Generator, variety: str) -> Scene:
    """`HCC`: dark with a darker halo; `haemangioma`: bright and sharply bounded."""
    x, y, size = rng.uniform(-0.22, 0.22), rng.uniform(0.4, 0.66), rng.uniform(0.12, 0.18)
    waves = [(4, 0.07, rng.uniform(0, 6))]
    parts = [*_wall(rng), *_vessels(rng, 4)]
    if variety == "HCC":
        parts.append(Structure(blob(x, y, size * 1.15, size * 1.1, 0, waves), -40, edge=None))
        parts.append(Structure(blob(x, y, size, size * 0.95, 0, waves), -27))
    else:
        parts.append(Structure(blob(x, y, size, size * 0.95, 0, waves), -2, edge=-4, attenuation=0.8))
    return Scene(_probe(rng), LIVER, parts)


def organ(rng: Generator, variety: str) -> Scene:
    """One of six organs, each with the sign that it is known by."""
    x, y = rng.uniform(-0.12, 0.12), rng.uniform(0.44, 0.56)
    parts = _wall(rng)
    background = LIVER - 4
    match variety:
        case "bladder":
            shape = blob(x, y, rng.uniform(0.3, 0.36), rng.uniform(0.22, 0.28), 0, [(2, 0.05, 0.0)])
            parts.append(Structure(shape, FLUID, edge=-2, edge_width=0.016, attenuation=0.05))
        case "bowel":
            for i in range(4):
                gas = ellipse(x - 0.36 + 0.24 * i, y - 0.1 + rng.uniform(-0.05, 0.05), 0.1, 0.06)
                parts.append(Structure(gas, -6, edge=BONE, edge_width=0.014, attenuation=14))
        case "gallbladder":
            background = LIVER
            parts.append(Structure(ellipse(x, y, 0.24, 0.1, 0.5), FLUID, edge=-2, edge_width=0.012, attenuation=0.05))
            stone = ellipse(x + 0.12, y + 0.07, 0.045, 0.035)
            parts.append(Structure(stone, BONE, edge=BONE + 2, attenuation=25))
        case "kidney":
            bean = without(ellipse(x, y, 0.33, 0.18, 0.2), ellipse(x, y + 0.25, 0.1, 0.1))
            parts.append(Structure(bean, -25, edge=-6, edge_width=0.012))
            parts.append(Structure(ellipse(x, y, 0.2, 0.07, 0.2), -1))
        case "liver":
            background = LIVER + 3
            parts += _vessels(rng, 9)
        case _:
            crescent = without(ellipse(x, y, 0.4, 0.26, -0.2), ellipse(x + 0.1, y + 0.34, 0.4, 0.26, -0.2))
            background = -32
            parts.append(Structure(crescent, -8, edge=1, edge_width=0.014))
    return Scene(_probe(rng), background, parts)


def ovary(rng: Generator, variety: str) -> Scene:
    """An adnexal tumour (label 1), cystic with a solid part, beside bowel and follicles."""
    x, y, size = rng.uniform(-0.16, 0.16), rng.uniform(0.42, 0.6), rng.uniform(0.18, 0.27)
    turn = rng.uniform(-0.6, 0.6)
    tumour = blob(x, y, size * 1.15, size * 0.95, turn, [(3, 0.06, rng.uniform(0, 6))])
    solid = ellipse(x + size * 0.4 * np.cos(turn * 5), y + size * 0.4, size * 0.35, size * 0.3)
    parts = [
        *_wall(rng),
        Structure(tumour, -41, label=1, edge=-4, edge_width=0.014, attenuation=0.2),
        Structure(solid, -17, label=1),
    ]
    return Scene(_probe(rng), -16, parts)


def uterus(rng: Generator, variety: str) -> Scene:
    """The uterus with its bright endometrium, and one fibroid (label 1), dark, whorled, with a shadow behind."""
    x, y, angle = rng.uniform(-0.06, 0.06), rng.uniform(0.46, 0.54), rng.uniform(-0.3, 0.3)
    parts = [
        *_wall(rng),
        Structure(ellipse(x, y, 0.4, 0.27, angle), -14, edge=-6, edge_width=0.014),
        Structure(ellipse(x, y, 0.26, 0.03, angle), -2),
    ]
    along, side = rng.uniform(-0.24, 0.24), rng.choice([-1, 1])
    fx, fy = x + along, y + side * rng.uniform(0.1, 0.15)
    size = rng.uniform(0.1, 0.15)
    fibroid = blob(fx, fy, size * 1.1, size, angle, [(4, 0.05, rng.uniform(0, 6))])
    parts.append(Structure(fibroid, -33, label=1, edge=-8, edge_width=0.014, attenuation=2.2))
    return Scene(_probe(rng), -24, parts)
