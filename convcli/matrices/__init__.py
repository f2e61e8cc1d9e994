"""The matrices that convolution is."""
