"""What the global options say; set while options are parsed."""

quiet = False
verbose = False
debug = False
