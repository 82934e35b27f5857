"""The user's images and captions: opened, converted, listed and matched.

`empirical.images.opening` turns a file into 8-bit grey or colour, `listing` finds the files of a
folder, `captions` normalises text and finds it beside images, `tables` reads metadata files,
`folders` combines these, and `hub` reads data sets of the library datasets. docs/images.md lists
the accepted formats.
"""
