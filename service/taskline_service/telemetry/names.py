"""Every name that leaves the process in spans and metrics.

The RPC names are those of the release candidate, the messaging names are still in
development: when they move, they move here.
"""

SCOPE = "taskline"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

RPC_SYSTEM = "rpc.system.name"
RPC_METHOD = "rpc.method"
# To become `rpc.status_code` once a released schema says so.
RPC_STATUS_CODE = "rpc.response.status_code"
NETWORK_PEER_ADDRESS = "network.peer.address"
NETWORK_PEER_PORT = "network.peer.port"
ERROR_TYPE = "error.type"

MESSAGING_SYSTEM = "messaging.system"
MESSAGING_OPERATION_NAME = "messaging.operation.name"
MESSAGING_OPERATION_TYPE = "messaging.operation.type"
MESSAGING_DESTINATION = "messaging.destination.name"
MESSAGING_MESSAGE_ID = "messaging.message.id"
MESSAGING_CLIENT_ID = "messaging.client.id"

TASK_TYPE = "taskline.task.type"
TASK_ATTEMPT = "taskline.task.attempt"
TASK_QUEUE_TIME = "taskline.task.queue_time"
TASK_OUTCOME = "taskline.task.outcome"

TASK_STATE = "taskline.task.state"

SERVER_CALL_DURATION = "rpc.server.call.duration"
OPERATION_DURATION = "messaging.client.operation.duration"
SENT = "messaging.client.sent.messages"
CONSUMED = "messaging.client.consumed.messages"
PROCESS_DURATION = "messaging.process.duration"
QUEUE_TIME = "taskline.task.queue_time"
ATTEMPTS = "taskline.task.attempts"
COMPLETED = "taskline.task.completed"
FAILED = "taskline.task.failed"
QUEUE_DEPTH = "taskline.queue.depth"
QUEUE_OLDEST_AGE = "taskline.queue.oldest_age"
WATCHES = "taskline.watch.active"
CONFLATED = "taskline.watch.conflated"
DAMAGED = "taskline.store.damaged"

# Bounds of the histograms, in seconds, as the conventions recommend them.
DURATION_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
