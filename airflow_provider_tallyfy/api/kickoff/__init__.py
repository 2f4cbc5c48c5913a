"""Kick-off forms: values as people write them -> the ``prerun`` that Tallyfy stores."""
