"""Parts that several formats are made of.

``cell_text`` spells entries, ``dense_text`` and ``coo_text`` write them, ``census`` estimates sizes;
``request`` guards what is read, ``read_text`` parses it.
"""
