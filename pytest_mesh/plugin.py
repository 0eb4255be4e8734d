"""The pytest plugin: hook functions. It knows pytest, and no mesh's inside."""
