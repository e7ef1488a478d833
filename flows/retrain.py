"""The flow that makes models: ingest, build what is stale, judge, commit, register, promote.

DVC decides what is stale; this decides what happens around it. `python -m flows retrain [RECIPE ...]`.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.states import Completed, Failed

from flows import aftercare, judging
from flows import commit as git
from flows.limits import in_turn, within
from flows.preflight import preflight, ready
from flows.publish import after_retrain
from flows.show import BuildShow, link, markdown, note, pictures, quality, say, show_plan, show_run
from flows.stages import StageFailedError, reproduce
from pipeline import registry, tracking
from pipeline.due import dueness
from pipeline.files import read_json, sha256_file, write_atomic, write_json
from pipeline.ingest import ingest_inbox
from pipeline.intake import inbox
from pipeline.params import load_params
from pipeline.plan import plan
from pipeline.recipes import load_book, recipe_params
from pipeline.registry import record
from pipeline.sharing import conditions, declared
from pipeline.workspace import Workspace, find_workspace

Result = dict[str, Any]


class StepFailedError(Exception):
    """A step of a recipe failed; the message says in one sentence why."""


@flow(name="retrain", persist_result=True, result_serializer="json", validate_parameters=True)
def retrain(recipes: list[str] | None = None) -> State[Result]:
    """Ingest the inbox, then build, judge, register and promote every recipe that has something new.

    Args:
        recipes: names from recipes.yaml; all of them without.
    """
    workspace = here()
    minutes = load_params(workspace.params_file).up.retrain_minutes
    with within(minutes), in_turn(workspace), aftercare.of_failure(workspace):
        preflight(workspace, recipes)
        settle(workspace)
        ingested = take_inbox()
        chosen, lacking = ready(workspace, recipes)
        waiting = {} if recipes else postponed(workspace)
        results = [waiting[each.name] if each.name in waiting else renew(workspace, each.name) for each in chosen]
        results += [{**failure(name, why), "lacking": True} for name, why in lacking.items()]
        if not recipes:
            inbox.built(workspace)
        return conclude(workspace, ingested, results, after_retrain(workspace))


def renew(workspace: Workspace, recipe: str) -> Result:
    """Bring one recipe's model up to date and return what came of it; its failure is a result too."""
    say(f"{recipe}: building what is stale")
    try:
        built = result_of(build(recipe))
        crowned = registry.champion(workspace, recipe)
        if crowned is not None and crowned.package == built["package"]:
            add_votes(workspace, recipe, crowned.package)
            return unchanged(recipe, built, crowned.version)
        verdict = result_of(judge(recipe, built["package"]))
        version = register(recipe, verdict)
        barred = registry.barred(registry.version_of(workspace, recipe, version))
        if verdict["accepted"] and barred is None:
            promote(recipe, version, verdict["sentence"])
        return outcome(workspace, recipe, built, verdict, version, barred)
    except (StepFailedError, registry.RegistryError, tracking.StoreError) as error:  # each says what to do
        return failure(recipe, str(error))
    except Exception as error:  # unforeseen; the other recipes go on
        return failure(recipe, f"{type(error).__name__}: {error} (see {keep_traceback(workspace, recipe)})")


@task(name="ingest", cache_policy=NO_CACHE)
def take_inbox() -> list[Result]:
    """Ingest the inbox; return the counts of each collection that it held something for."""
    workspace = here()
    for remark in inbox.survey(workspace.inbox).remarks:
        say(f"inbox: {remark}")
    before = inbox.begin(workspace)
    results = ingest_inbox(workspace, load_params(workspace.params_file)).values()
    inbox.commit(workspace, before, {name for result in results for name in result.left_names})
    for result in results:
        for told in (result.sentence(), *result.remarks()):
            say(f"inbox: {told}")
        if result.changed or result.refused:
            quality(workspace, result.collection)
    return [result.to_dict() for result in results]


@task(name="build", task_run_name="build {recipe}", cache_policy=NO_CACHE)
def build(recipe: str) -> Result:
    """Run `dvc repro` for a recipe; return the package's digest and what each stage did."""
    workspace = here()
    described = load_book(workspace).recipe(recipe)
    params = recipe_params(workspace, described)
    show = BuildShow(workspace, recipe)
    output = workspace.var / "logs" / f"build-{recipe}.log"
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w") as log, tracking.following(workspace, recipe, params.tree()):

        def keep(line: str) -> None:
            log.write(line + "\n")
            log.flush()
            note(line)

        try:
            board = reproduce(workspace, described, params, on_line=keep, on_change=show.changed, on_tick=show.tick)
        except StageFailedError as error:
            return stop(f"{error} (all output: {output})")
    return {"package": registry.verify(workspace.package(recipe)), "ran": board.ran, "stages": board.table()}


@task(name="judge", task_run_name="judge {recipe}", cache_policy=NO_CACHE)
def judge(recipe: str, package: str) -> Result:
    """Hold a package against champion and anchor; return the gate's verdict, the standing one if nothing changed."""
    workspace = here()
    params = recipe_params(workspace, load_book(workspace).recipe(recipe))
    rivals = {"champion": registry.champion(workspace, recipe), "anchor": anchor_of(workspace, recipe)}
    grounds = judging.grounds(workspace, recipe, params, rivals)
    verdict = judging.standing(workspace, recipe, package, grounds)
    if verdict is None:
        say(f"{recipe}: judging the new model")
        try:
            verdict = judging.judge(workspace, recipe, package, params, rivals, note)
        except judging.MeasuringError as error:
            return stop(str(error))
        for line in judging.as_lines(verdict):
            say(f"  {line}")
    markdown(judging.as_markdown(verdict), "verdict", recipe)
    link(judging.report_file(workspace, recipe, package), f"Report on {recipe}", "report", recipe)
    pictures(workspace.report(recipe) / "sheets", f"Pictures of {recipe}", "pictures", recipe)
    return verdict


@task(name="register", task_run_name="register {recipe}", cache_policy=NO_CACHE)
def register(recipe: str, verdict: Result) -> int:
    """Commit what the package was made from, register the package once, tag the commit; return the version."""
    workspace = here()
    described = load_book(workspace).recipe(recipe)
    manifest = read_json(workspace.package(recipe) / "manifest.json")
    made_from = commit(workspace, recipe, manifest["package"])
    tags = {
        **conditions.of_training(workspace, recipe),
        **declared.pending(workspace, recipe),
        "method": described.method,
        "style": described.style,
        "dvc_lock": sha256_file(workspace.root / "dvc.lock"),
        "verdict": "accepted" if verdict["accepted"] else "refused",
        "verdict_sentence": verdict["sentence"][:4000],
        **metric_tags(read_json(workspace.report(recipe) / "summary.json")),
        **made_from,
        **{f"{kind}_digest": digest for kind, digest in manifest["digests"].items()},
    }
    registered = registry.register(workspace, recipe, tags)
    # What a version was made from was settled when it was registered: the checkout may have moved on since.
    its_own = tags if registered.new else registry.version_of(workspace, recipe, registered.version).tags
    report = complete_report(workspace, recipe, manifest["package"], registered.version, its_own)
    tag(workspace, recipe, registered.version, its_own)  # of a known version too: it may have been cut short there
    if registered.new:
        declared.told(workspace, recipe, registered.version)
        file_evaluation(workspace, recipe, manifest["package"], report)
    else:  # it may be judged anew, on other grounds
        now = {key: tags[key] for key in ("verdict", "verdict_sentence")}
        registry.note_verdict(workspace, recipe, registered.version, now)
    return registered.version


@task(name="promote", task_run_name="promote {recipe} v{version}", cache_policy=NO_CACHE)
def promote(recipe: str, version: int, reason: str) -> None:
    """Make a version the champion."""
    registry.promote(here(), recipe, version, reason, by=registry.GATE)
    markdown(f"**{recipe} version {version}** is the champion: {reason}", "champion", recipe)


def postponed(workspace: Workspace) -> dict[str, Result]:
    """Show what would run and why, and return the results of the recipes that are stale and not due yet.

    What is not stale is gone through all the same: that takes a second, and finishes what a crash left.
    """
    try:
        plans = plan(workspace)
        due = dueness(workspace, plans)
    except ValueError as error:  # then all of them are gone through, and DVC finds out
        say(f"what is due is not known: {error}")
        return {}
    show_plan(plans, due)
    waiting = {name: each.why for name, each in due.items() if each.state == "waits"}
    for name, why in waiting.items():
        say(f"{name}: not yet: {why}")
    return {name: {"recipe": name, "state": "waiting", "why": why} for name, why in waiting.items()}


def settle(workspace: Workspace) -> None:
    """Finish or take back what a crash left of the last change to the registry, before anything is built on it."""
    for told in registry.settle(workspace):
        say(f"registry: {told}")
    # Only the newest of a model can have been cut short before its tag; a tag that a person took away stays away.
    known = record.read(workspace)
    for name in known.names:
        newest = max(number for model, number in known.versions if model == name)
        tag(workspace, name, newest, known.versions[name, newest].tags)


def metric_tags(summary: Mapping[str, float | None]) -> dict[str, str]:
    """Return a version's metrics as tags: `metric/style/patch_swd` -> `0.117`; those of the controls are left out."""
    own = {name: value for name, value in summary.items() if value is not None and "." not in name}
    return {f"metric/{name}": f"{value:.6g}" for name, value in own.items()}


def stop(why: str) -> Result:
    """Return what makes Prefect fail a task with one sentence, and log no traceback."""
    return cast(Result, Failed(message=why))


def result_of(returned: Any) -> Result:
    """Return a task's result.

    Raises:
        StepFailedError: the task stopped; the message is its sentence.
    """
    if isinstance(returned, State):
        raise StepFailedError(returned.message)
    return cast(Result, returned)


def keep_traceback(workspace: Workspace, recipe: str) -> Path:
    """Write the exception at hand to a file and return its path."""
    return write_atomic(workspace.var / "logs" / f"failure-{recipe}.log", traceback.format_exc())


def here() -> Workspace:
    """Return the workspace of the current folder: flows run in one."""
    return find_workspace(Path.cwd())


def anchor_of(workspace: Workspace, recipe: str) -> registry.Version | None:
    """Return the last version that a person approved, if that is another than the champion."""
    aliases = registry.aliases_of(workspace, recipe)
    if aliases.get(registry.ANCHOR) == aliases.get(registry.CHAMPION):
        return None
    return registry.aliased(workspace, recipe, registry.ANCHOR)


def commit(workspace: Workspace, recipe: str, package: str) -> dict[str, str]:
    """Commit lock file and data pointers when params say so; return tags that name the commit."""
    try:
        if load_params(workspace.params_file).retrain.commit:
            head = git.commit(workspace, f"Build {recipe} ({package[:12]})")
        else:
            head = git.head(workspace)
        open_changes = git.uncommitted_inputs(workspace)
    except git.GitError as error:  # the model is built and judged; that is not lost over its bookkeeping
        say(f"{recipe}: not committed: {error}")
        return {"git_commit": "none", "git_problem": str(error)[:4000]}
    if open_changes:
        names = ", ".join(open_changes)
        say(f"{recipe}: {names} differ from the commit that the version names; commit them yourself")
    changed = {"uncommitted": " ".join(open_changes)[:4000]} if open_changes else {}
    return {"git_commit": head, **changed}


def tag(workspace: Workspace, recipe: str, version: int, made_from: Mapping[str, str]) -> None:
    """Tag the commit `<recipe>/v<version>`, when retrain commits at all; a tag that is there stays."""
    if made_from.get("git_commit", "none") == "none" or not load_params(workspace.params_file).retrain.commit:
        return
    try:
        git.tag(workspace, f"{recipe}/v{version}", made_from["git_commit"])
    except git.GitError as error:
        say(f"{recipe}: version {version} is not tagged: {error}")


def complete_report(workspace: Workspace, recipe: str, package: str, version: int, tags: Mapping[str, str]) -> Path:
    """Write into the report what is known only now, version and commit among it; return where it lies."""
    facts = {"Version": f"{recipe} v{version}", "Commit": tags["git_commit"], "dvc.lock": tags["dvc_lock"]}
    try:
        return judging.render(workspace, recipe, package, facts, note)
    except judging.MeasuringError as error:  # the model is built and judged; that is not lost over a page
        say(f"{recipe}: the report lacks version and commit: {error}")
        return judging.report_file(workspace, recipe, package)


def add_votes(workspace: Workspace, recipe: str, package: str) -> None:
    """Bring the votes that came since into the champion's report, if there is a verdict on it to stand beside."""
    try:
        if judging.verdict_file(workspace, recipe, package).is_file():
            judging.render(workspace, recipe, package, {}, note)
    except judging.MeasuringError as error:  # nothing is lost over a page
        say(f"{recipe}: the report lacks the last votes: {error}")


def file_evaluation(workspace: Workspace, recipe: str, package: str, report: Path) -> None:
    """Put scores, report and pictures into the run of the version in MLflow."""
    log = tracking.training_log(workspace, recipe)
    run_id = tracking.run_of(workspace, recipe, log.key if log else package)
    show_run(workspace, recipe, run_id)
    tracking.log_evaluation(workspace, recipe, run_id, report)
    tracking.finish(workspace, run_id, succeeded=True)


def unchanged(recipe: str, built: Result, version: int) -> Result:
    """Return the result of a recipe whose package is the champion's."""
    return {"recipe": recipe, "state": "unchanged", "version": version, **built, "why": "nothing new"}


def outcome(
    workspace: Workspace, recipe: str, built: Result, verdict: Result, version: int, barred: str | None
) -> Result:
    """Return the result of a recipe that was judged; `barred` is why only a person may promote the version."""
    state, why = "promoted" if verdict["accepted"] else "refused", verdict["sentence"]
    if verdict["accepted"] and barred is not None:
        state = "held"
        promoting = f"`atelier promote {recipe} {version} --reason ...`"
        why = f"The gate accepts it, but it {barred}: only a person promotes it, with {promoting}."
    report = str(judging.report_file(workspace, recipe, built["package"]))
    return {"recipe": recipe, "state": state, "version": version, **built, "why": why, "report": report}


def failure(recipe: str, why: str) -> Result:
    """Return the result of a recipe that could not be built, judged, registered or promoted."""
    return {"recipe": recipe, "state": "failed", "why": why}


def conclude(
    workspace: Workspace, ingested: list[Result], results: list[Result], published: str | None
) -> State[Result]:
    """Write `var/last_retrain.json` and end the flow: failed, naming them, if a recipe failed."""
    whole: Result = {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    whole |= {"ingested": ingested, "recipes": results, "published": published}
    aftercare.tell(workspace, results)  # what is news shows beside the last results, so before these replace them
    write_json(workspace.var / "last_retrain.json", whole)
    markdown("\n".join(f"- {sentence(result)}" for result in results) or "Nothing to do.", "retrain")
    failed = [result["recipe"] for result in results if result["state"] == "failed"]
    if failed:
        return cast("State[Result]", Failed(message=f"failed: {', '.join(failed)}", data=whole))
    return Completed(message=", ".join(f"{r['recipe']} {r['state']}" for r in results) or "nothing to do", data=whole)


def sentence(result: Result) -> str:
    """Return a recipe's result in words."""
    name, state, why = result["recipe"], result["state"], result["why"]
    if state == "failed":
        return f"{name}: failed: {why}"
    if state == "waiting":
        return f"{name}: not yet: {why}"
    if state == "unchanged":
        return f"{name}: nothing new; version {result['version']} stays champion"
    if state == "promoted":
        return f"{name}: version {result['version']} is the champion. {why}"
    return f"{name}: version {result['version']} is not promoted. {why}"
