"""The documentation: Sphinx, MyST, sphinx-gallery and Furo. `make docs` builds it into site/."""

import os
import sys
from pathlib import Path

import rawdrift

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
import figures  # noqa: E402

os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}

project, author = "rawdrift", "The rawdrift developers"
copyright = author
version = release = rawdrift.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "public",
    "facts",
]
exclude_patterns = ["_ext", "gallery/*.ipynb", "gallery/*.py", "gallery/*.md5", "gallery/*.json"]
smartquotes = False
nitpicky = True
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

default_role = "py:obj"
autodoc_inherit_docstrings = False  # of torch
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "parallel": True,
    "matplotlib_animations": False,
    "image_srcset": ["2x"],
    "thumbnail_size": (480, 320),
    "show_signature": False,
    "image_scrapers": ("matplotlib", figures.scrape),
    "ignore_repr_types": r"matplotlib|torch\.nn|'int'",
    "write_computation_times": False,
    "reset_modules": ("matplotlib",),
    "remove_config_comments": True,
    "copyfile_regex": r".*\.rst",
}

html_theme = "furo"
html_title = "rawdrift"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e69", "color-brand-content": "#0b6e69"},
    "dark_css_variables": {"color-brand-primary": "#58c4bd", "color-brand-content": "#58c4bd"},
}
pygments_style, pygments_dark_style = "friendly", "github-dark"
