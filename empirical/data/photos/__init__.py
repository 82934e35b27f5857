"""The user's images and captions: opened, converted, listed and matched.

`opening` turns a file into 8-bit grey or colour, `listing` finds the files of a folder, `captions`
cleans text and finds it beside images, `tables` reads metadata files, `folders` puts these
together, and `hub` reads data sets of the library datasets. docs/images.md says what is taken.
"""
