"""Tasks in Redis: one Lua script per move, and the reading of what they leave."""
