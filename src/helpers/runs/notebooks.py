"""Old names, until the second house is done."""


def has_notebook(record):  # noqa: D103
    return record.notebook is not None


def seal(content, record):  # noqa: D103
    return content
