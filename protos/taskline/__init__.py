"""The wire contract of Taskline: the .proto files and the stubs generated from them."""
