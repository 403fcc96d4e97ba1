"""What fault tests share: a token that the clusters of this process and their drivers show, all of them.

Ray reads that once, when it is imported; where one side asks for a token that the other does not show, actors never
begin. Tokens have tests of their own, see `tests/nas/execution`.
"""

import os

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", "7" * 64)
