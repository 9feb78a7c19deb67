"""A Debian cloud image where none can be downloaded: made from packages, built on by our own Packer templates.

``stock_image()`` is the distribution's image that an image build starts from; ``built_image()`` is the base image that
``packer/build.sh`` makes of it. Both are kept between runs, outside the clone.
"""

from lab.debian.built import built_image
from lab.debian.needs import ImageError
from lab.debian.stock import stock_image

__all__ = ["ImageError", "built_image", "stock_image"]
