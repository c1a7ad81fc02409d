"""Tries what a run needs, one thing after the other, and shows what came of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import click

from pipeline import log
from pipeline.auth.credentials import Credential, NoCredentialError
from pipeline.auth.keeper import Keeper
from pipeline.auth.local_tokens import Fixed
from pipeline.calls.service import POLL_TIMEOUT, Account, Service
from pipeline.checks.checkup import (
    UNUSED_OPERATION,
    Finding,
    of_credential,
    of_model,
    of_no_credential,
    of_operations,
    of_quotas,
    of_tokenizer,
    verdict,
)
from pipeline.cli.access import Access
from pipeline.cli.answer import tell
from pipeline.cli.kinds import AUTO, chosen_rates
from pipeline.cli.pricing import price_table
from pipeline.clock import Clock, local_day_and_time
from pipeline.codec import encode
from pipeline.errors import RunError
from pipeline.input.rows import model_uri
from pipeline.network.carrier import Carrier
from pipeline.network.endpoints import Endpoints
from pipeline.settings import DEFAULT_POLL_RATES, DEFAULT_RATES
from pipeline.terminal.speech import clean


def examine(options: Mapping[str, Any], environment: Mapping[str, str]) -> int:
    """Show a line for each thing tried; return the exit code."""
    log.set_up(options["verbose"], None)
    findings = asyncio.run(_shown(options, environment))
    code = verdict(findings)
    if options["as_json"]:
        told = {"checks": [finding.to_json() for finding in findings], "exit": int(code)}
        click.echo(clean(encode(told).decode()))
    return code


async def _shown(options: Mapping[str, Any], environment: Mapping[str, str]) -> list[Finding]:
    findings = []
    async for finding in _found(options, environment):
        findings.append(finding)
        if not options["as_json"]:
            tell(finding.lines())
    return findings


async def _found(
    options: Mapping[str, Any], environment: Mapping[str, str]
) -> AsyncIterator[Finding]:
    try:
        access = await Access.found(options, environment)
        clock, carrier = Clock(), access.carrier(1)
    except RunError as error:
        yield Finding("credential and folder", trouble=error)
        return
    try:
        with access.served() as endpoints:
            credential, finding = await _credential(access, carrier, clock)
            yield finding
            if credential is None:
                return
            fixed = Fixed(access.source.name, credential, access.source.advice)
            keeper = Keeper(fixed, carrier, clock, patience=0)
            await keeper.obtain()
            service = Service(carrier, endpoints, Account(keeper, access.folder), clock)
            async for finding in _answers(service, endpoints, access, options["model"]):
                yield finding
    finally:
        await carrier.close()
    yield of_model(options["model"], price_table(options["prices"]))
    submits = () if AUTO in options["rate"] else options["rate"]
    yield of_quotas(
        chosen_rates(submits, DEFAULT_RATES),
        chosen_rates(options["poll_rate"], DEFAULT_POLL_RATES),
    )


async def _credential(
    access: Access, carrier: Carrier, clock: Clock
) -> tuple[Credential | None, Finding]:
    name = access.source.name
    try:
        credential = await access.source.fresh(carrier, clock.now())
    except NoCredentialError as error:
        return None, of_no_credential(name, error)
    ends = None if credential.ends_at is None else local_day_and_time(credential.ends_at)
    return credential, of_credential(name, ends, access.remarks)


async def _answers(
    service: Service, endpoints: Endpoints, access: Access, model: str
) -> AsyncIterator[Finding]:
    uri, advice = model_uri(model, access.folder), access.source.advice
    asked = {"modelUri": uri, "messages": [{"role": "user", "text": "?"}]}
    counted = await service.count_tokens(encode(asked))
    yield of_tokenizer(uri, counted, advice)
    polled = await service.poll(UNUSED_OPERATION, POLL_TIMEOUT)
    yield of_operations(endpoints.operations, polled, advice)
