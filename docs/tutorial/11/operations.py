from trio_messenger import ErrorCode, RpcError


def apply(operation, values):
    kind, key = operation["type"], operation["key"]
    if kind != "write" and key not in values:
        raise RpcError(ErrorCode.KEY_DOES_NOT_EXIST, f"{key} has no value")
    if kind == "read":
        return {"value": values[key]}
    if kind == "cas" and values[key] != operation["from"]:
        raise RpcError(ErrorCode.PRECONDITION_FAILED, f"{key} is {values[key]}")
    values[key] = operation["to"] if kind == "cas" else operation["value"]
    return {}
