"""The compiler: its error."""


class CompileException(Exception):  # noqa: N818
    """Source that does not compile."""

    def __init__(self, msg, source, name, options, backend="nvrtc"):
        super().__init__()
        self._msg, self.source, self.name, self.options, self.backend = msg, source, name, options, backend

    def __str__(self):
        return self.get_message()

    def get_message(self):
        """The compiler's words."""
        return self._msg
