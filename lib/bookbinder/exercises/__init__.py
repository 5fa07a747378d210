"""The exercises: one source a chapter, and the reader's notebook, the checks, the audit and the course made from it."""
