"""Makes digits.npz from the copy of the data in scikit-learn (Debian: python3-sklearn)."""
import pathlib

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
path = pathlib.Path(__file__).resolve().parent / "digits.npz"
np.savez_compressed(path, images=digits.data.astype(np.uint8), labels=digits.target.astype(np.uint8))
