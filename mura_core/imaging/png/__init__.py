"""PNG files, decoded exactly: chunks checked, inflated by libdeflate, row filters undone."""
