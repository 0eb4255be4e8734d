"""The rules of the built-in kinds: what a create or an update must satisfy, in Kubernetes' words. Pure.

One module a family of kinds, ``kinds`` finds the one for an object. Types are ``decoding``'s, custom resources
``validation``'s; nothing here reads the store.
"""
