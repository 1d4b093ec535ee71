"""The step `load`."""

import six

print("loaded with six", six.__version__)
