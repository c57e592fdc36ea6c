"""People who sign in: accounts, one-time invitations, sessions, sign-in. What a role may do is in `hub.core.policy`."""
