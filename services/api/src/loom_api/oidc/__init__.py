"""Contains what asks an OpenID provider who somebody is: discovery, keys, the code flow, and what a token must say.

The gate and the console's pages call it; it knows neither. Its parts are imported only where a provider is configured,
because they need the extra `oidc` (ADR 25)."""
