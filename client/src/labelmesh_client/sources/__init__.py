"""Where images to import come from: the digits of scikit-learn, MNIST's IDX files, a folder."""

from __future__ import annotations
