"""The Tokens service."""

from typing import Any

import grpc

from kvgateway.rpc.callers import Callers, account_of
from tandem.wire.token_codec import token_id_of, token_message, wish_of
from tandem.wire.v1 import tokens_pb2, tokens_pb2_grpc

_Context = grpc.aio.ServicerContext[Any, Any]


class TokensService(tokens_pb2_grpc.TokensServicer):
    """Serves each caller's `TokenRegistry` over gRPC."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def CreateToken(
        self, request: tokens_pb2.CreateTokenRequest, context: _Context
    ) -> tokens_pb2.CreateTokenReply:
        """Creates a token and shows its text, once."""
        caller = await self._callers.of(context)
        created = await caller.tokens.create(wish_of(request, account_of(caller, "")))
        return tokens_pb2.CreateTokenReply(token=token_message(created.token), text=created.text)

    async def ListTokens(
        self, request: tokens_pb2.ListTokensRequest, context: _Context
    ) -> tokens_pb2.ListTokensReply:
        """Lists the tokens for one account, or all."""
        caller = await self._callers.of(context)
        account = None if request.all_accounts else account_of(caller, request.account)
        found = await caller.tokens.list(account)
        return tokens_pb2.ListTokensReply(tokens=[token_message(token) for token in found])

    async def RevokeToken(
        self, request: tokens_pb2.RevokeTokenRequest, context: _Context
    ) -> tokens_pb2.RevokeTokenReply:
        """Ends a token."""
        caller = await self._callers.of(context)
        await caller.tokens.revoke(token_id_of(request.id))
        return tokens_pb2.RevokeTokenReply()
