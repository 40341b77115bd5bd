"""The one error a user can cause, and the one warning a user should read."""

__all__ = ["StimulusWarning", "UserError"]


class UserError(ValueError):
    """A user's mistake: one sentence that says what was given, what was expected and what to do."""


class StimulusWarning(UserWarning):
    """A stimulus that does something its user may not expect, such as clipping a probability."""
