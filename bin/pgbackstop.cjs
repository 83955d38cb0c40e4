#!/bin/sh
':' /*
# Two programs in one file. A shell reads this half, which ends in `exec node`; to Node it is a comment.
#
# With archive-async most calls of archive-push and archive-get find their answer in the spool. To say so takes a shell a
# millisecond or two, where Node needs twenty before our first line. What the answer depends on is in a hint that the whole
# program wrote when it last gave one (src/cli/first-step.ts): its arguments, the folders, and the files that must not have
# changed since. When all of that holds the answer is given here; otherwise, and in any doubt, Node is started.
#
# Nothing here may fail: PostgreSQL takes a status below 126 for the end of the archive. So nothing of the hint is ever
# executed, and nothing goes into arithmetic that is not a number. Names begin with _ so as not to change what is exported.

# shellcheck disable=SC2094,SC3013 # -nt and -ef are younger than dash, bash and busybox, which all have them
first_step() {
  # Words up to the command are as the administrator wrote them; those behind it are PostgreSQL's.
  _key='' _words=0 _word='' _stanza=''
  for _word; do
    _key="$_key	$_word" _words=$((_words + 1))
    case $_word in
    --stanza=*) _stanza=${_word#--stanza=} ;;
    archive-push | archive-get) break ;;
    esac
  done
  case $_word,$(($# - _words)) in archive-push,1 | archive-get,2) ;; *) return ;; esac
  shift "$_words"
  _segment=${1##*[/]} _path=$1
  [ "$_word" = archive-push ] || _segment=$1 _path=$2
  case $_path in -* | '') return ;; esac
  case $_segment in *[!0123456789ABCDEF]*) return ;; ????????????????????????) ;; *) return ;; esac
  case $_stanza in '' | *[!0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.-]*) return ;; esac

  # Debian starts PostgreSQL without HOME. A hint must be our own user's, whose ever the folder is.
  [ -z "${NODE_DISABLE_COMPILE_CACHE:-}" ] || return
  _hint=${XDG_CACHE_HOME:-}
  case $_hint in /*) ;; *) _hint=${HOME-~postgres}/.cache ;; esac
  case $_hint in /*) ;; *) return ;; esac
  _hint=$_hint/pgbackstop/first-step/$_word-$_stanza-$_words-${#_key}
  [ -f "$_hint" ] && [ ! -h "$_hint" ] && [ -O "$_hint" ] && [ -r "$_hint" ] || return
  # An option may come from the environment. Which do is for the whole program to say.
  case $(export -p) in *PGBACKREST_*) return ;; esac

  _end='' _line='' _program='' _cluster='' _spool='' _lock='' _busy='' _ahead='' _per_log=''
  {
    IFS= read -r _line && [ "$_line" = 'pgbackstop first step 1' ] || return
    IFS= read -r _line && [ "$_line" = "$_key" ] || return
    IFS= read -r _program && [ -f "$_program" ] || return
    IFS= read -r _cluster && IFS= read -r _spool && IFS= read -r _lock || return
    IFS= read -r _busy && IFS= read -r _ahead && IFS= read -r _per_log || return
    while [ -z "$_end" ] && IFS= read -r _line; do
      case $_line in
      +/*) [ -e "${_line#+}" ] && [ "$_hint" -nt "${_line#+}" ] || return ;;
      -/*) [ ! -e "${_line#-}" ] || return ;;
      end) _end=y ;;
      *) return ;;
      esac
    done
  } 2>/dev/null <"$_hint"
  [ -n "$_end" ] || return

  # While the server runs its cluster stays the same one; a restore or an upgrade comes before its start.
  [ -f "$_cluster/postmaster.pid" ] && [ "$_hint" -nt "$_cluster/postmaster.pid" ] || return
  case $_path in /*) ;; *) [ . -ef "$_cluster" ] || return ;; esac

  if [ "$_word" = archive-push ]; then
    _ok=$_spool/$_segment.ok
    # a text in it is a warning to print; older than the segment it speaks of one that had this name before
    [ -f "$_ok" ] && [ ! -h "$_ok" ] && [ ! -s "$_ok" ] && [ -f "$_path" ] && [ "$_ok" -nt "$_path" ] || return
    [ ! -e "$_spool/$_segment.error" ] && [ ! -e "$_spool/global.error" ] || return
    [ -d "$_lock" ] && [ -x "$_lock" ] && [ ! -e "$_lock/$_stanza.stop" ] && [ ! -e "$_lock/all.stop" ] || return
    trap - EXIT
    exit 0
  fi

  _found=$_spool/$_segment
  [ -f "$_found" ] && [ ! -h "$_found" ] && [ -s "$_found" ] && [ ! -d "$_path" ] || return
  [ ! -e "$_found.ok" ] && [ ! -e "$_found.error" ] && [ ! -e "$_spool/global.error" ] || return
  # The program has more fetched once half of the queue is used up: it is asked when the segment in the middle is not there,
  # and nobody is at work.
  case $_ahead,$_per_log in *[!0123456789,]* | 0* | *,0* | ,* | *, | ??????????*,* | *,??????????*) return ;; esac
  _next=${_segment#????????}
  _next=$(((0x${_next%????????}) * _per_log + (0x${_next#????????}) + _ahead))
  _next=${_segment%????????????????}$(printf '%08X%08X' $((_next / _per_log)) $((_next % _per_log)))
  [ -f "$_spool/$_next" ] || [ -f "$_busy" ] || return
  mv -f -- "$_found" "$_path" 2>/dev/null || return
  trap - EXIT
  exit 0
}

# `version` alone says what the build has written down, when all is there that the other commands need.
if [ "$#,$1" = 1,version ]; then
  _program=$0 _line=''
  [ ! -h "$0" ] || _program=$(readlink -f "$0")
  _program=${_program%/*}/../dist
  if [ -f "$_program/main.cjs" ] && command -v node >/dev/null && { IFS= read -r _line <"$_program/version"; } 2>/dev/null; then
    printf '%s\n' "$_line" && exit
  fi
fi

# NODE_OPTIONS of the administrator is for other programs. What Node cannot do with it (a file that is gone, an option that
# it does not know) ends Node before our first line, with a status below 126: for PostgreSQL the end of the archive.
for _word; do
  case $_word in archive-push | archive-get) unset NODE_OPTIONS ;; esac
done

# A shell that cannot go on, because no process can be started, ends with 2. Signals are another matter.
trap 'case $? in 129 | 1[3-5]?) ;; *) exec node "$0" "$@" ;; esac' EXIT
first_step "$@"
exec node "$0" "$@"
# */;
'use strict';
// An old Node reads this too, to say that it is old: no `?.` or `??`, no `node:` before what is required.

// First of all: Node's own code for what nobody catches is 1, which from archive-get means that the archive lacks the file.
process.on('uncaughtException', error => {
  const kind = error instanceof Error ? error.code : undefined;
  const isIncomplete = kind === 'ENOENT' || kind === 'MODULE_NOT_FOUND' || error instanceof SyntaxError;
  const code = isIncomplete ? incomplete : defect;
  try {
    writeSync(2, `ERROR: [${code}]: ${error instanceof Error ? error.stack : error}\n`);
  } finally {
    process.exit(code);
  }
});

// biome-ignore lint/style/useNodejsImportProtocol: see above
const { existsSync, writeSync } = require('fs');

const isGet = process.argv.indexOf('archive-get') >= 0;
// A standby asks again after any code up to 125, and would be shut down by a higher one. pg_ctl sets PGDATA.
const isStandby = existsSync('standby.signal') || existsSync(`${process.env.PGDATA}/standby.signal`);
// A server in recovery takes all up to 125 for the end of the archive.
const defect = isGet && !isStandby ? 128 + 124 : 124;
// While an upgrade replaces our files some are missing. To PostgreSQL this is what a shell says of a missing program:
// recovery stops, and does not take the WAL for complete.
const incomplete = isGet && isStandby ? 124 : 127;

// Where Node finds nothing left to do before there is an answer, this was none.
process.exitCode = defect;

const root = __dirname.replace(/[/][^/]*$/, '');
const program = `${root}/dist/main.cjs`;
if (parseInt(process.versions.node, 10) < 20) {
  process.stderr.write(
    `ERROR: [${defect}]: Node ${process.versions.node} is too old, version 20.17 or newer is needed\n` +
      `HINT: is another one in front of it on PATH? This is '${process.execPath}'.\n`,
  );
  process.exit(defect);
} else if (existsSync(program)) {
  // argv[1] is the name as it was typed (a symbolic link stays one): pgbackrest or pgbackstop.
  require(program)
    .main(process.argv.slice(2), process.env, process.argv[1])
    .then(code => process.exit(code));
} else {
  process.stderr.write(
    `pgbackstop is not built: ${program} is missing\nHINT: run 'npm ci && npm run build' in ${root}\n`,
  );
  process.exit(incomplete);
}
