"""The networks (PyTorch), and what is known of them and of their weights without it."""

#: Released weights that anybody may use, also in products. Those of the family `research` are more
#: accurate and come with non-commercial terms: `headpose models`.
DEFAULT_MODEL = 'mnn_lite_free'
