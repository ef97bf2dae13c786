"""Labels for photographs that have none: teachers look, conventions are fitted, opinions merge.

`teachers.py` has who may be asked, `views.py` how a face is shown to them, `conventions.py` how
what they mark becomes what people mark, `merge.py` what is left where they disagree, `files.py`
the folder that `headpose-train label` writes and `fit` reads.
"""
