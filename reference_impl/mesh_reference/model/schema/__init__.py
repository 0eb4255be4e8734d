"""The mesh's resource kinds as typed definitions: the one source of CRDs and of decoding.

What belongs here: the vocabulary of types, the kinds built from it, the OpenAPI schema
and the shape check made from them. What does not: rules about values (the room
`validation`) and what the control plane does with a resource.
"""
