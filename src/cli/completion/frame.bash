_pgbackstop() {
  # Readline takes words apart at "=" and ":", we need them whole.
  local -a words=()
  local word glue=''
  local -i at last=-1
  for ((at = 0; at <= COMP_CWORD; at++)); do
    word=${COMP_WORDS[at]}
    if ((last > 0)) && [[ ${words[last]} == --* && $word == [=:]* ]]; then
      words[last]+=$word glue=y
    elif [[ $glue ]]; then
      words[last]+=$word glue=''
    else
      last+=1
      words[last]=$word
    fi
  done
  local current=${words[last]}

  # The command, how many words follow it, and the option that waits for the current word as its value.
  local command='' help='' waiting=''
  local -i parameters=0
  for ((at = 1; at < last; at++)); do
    word=${words[at]}
    if [[ $waiting ]]; then
      waiting=''
    elif [[ $word == --*=* || $word == --no-* || $word == --reset-* ]]; then
      :
    elif [[ $word == --* ]]; then
      _pgbackstop_name "${word#--}"
      _pgbackstop_switch "$name" || waiting=${word#--}
    elif [[ $command ]]; then
      parameters+=1
    elif [[ $word == help && ! $help ]]; then
      help=y
    else
      command=$word
    fi
  done

  local name key options choices kind
  COMPREPLY=()
  if [[ $waiting ]]; then
    _pgbackstop_name "$waiting"
    _pgbackstop_value "$current"
  elif [[ $current == --*=* ]]; then
    word=${current%%=*}
    _pgbackstop_name "${word#--}"
    _pgbackstop_value "${current#*=}"
    # Where readline does not part words at "=", the reply is the whole word.
    [[ $COMP_WORDBREAKS == *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/$word=}")
  elif [[ $current == -* ]]; then
    _pgbackstop_option
  elif [[ ! $command ]]; then
    _pgbackstop_words "$(_pgbackstop_commands)" "$current"
  elif [[ $help ]]; then
    ((parameters > 0)) || _pgbackstop_help
  elif [[ $command == archive-push || ($command == archive-get && $parameters == 1) ]]; then
    _pgbackstop_paths -f "$current"
  fi
}

# repoN-path into "name" and 2 into "key", of repo2-path.
_pgbackstop_name() {
  name=$1 key=''
  if [[ $1 =~ ^(repo|pg)([0-9]+)(-.*)?$ ]]; then
    name=${BASH_REMATCH[1]}N${BASH_REMATCH[3]} key=${BASH_REMATCH[2]}
  fi
}

_pgbackstop_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_pgbackstop_paths() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

_pgbackstop_value() {
  _pgbackstop_choices "$command" "$name"
  case $kind in
    directory) _pgbackstop_paths -d "$1" ;;
    file) _pgbackstop_paths -f "$1" ;;
    stanza) _pgbackstop_stanzas "$1" ;;
    *)
      if [[ ! $choices ]] && _pgbackstop_switch "$name"; then choices='n y'; fi
      _pgbackstop_words "$choices" "$1"
      ;;
  esac
}

# After "help COMMAND": names without a number.
_pgbackstop_help() {
  _pgbackstop_options "$command"
  options=${options//N/}
  _pgbackstop_words "${options//[=!]/}" "$current"
}

_pgbackstop_option() {
  local prefix='' one offered=''
  case $current in
    --no-*) prefix=no- ;;
    --reset-*) prefix=reset- ;;
  esac
  _pgbackstop_name "${current#"--$prefix"}"
  _pgbackstop_options "$command"
  for one in $options; do
    [[ $one == *'!' ]] && continue
    case $prefix in
      no-) _pgbackstop_negate "${one%=}" || continue ;;
      reset-) _pgbackstop_keep "${one%=}" && continue ;;
    esac
    [[ $prefix ]] && one=${one%=}
    offered+=" --$prefix${one/N/${key:-1}}"
  done
  [[ $prefix ]] || offered+=' --no- --reset-'
  _pgbackstop_words "$offered" "$current"
  if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=-] ]]; then compopt -o nospace; fi
}

# The sections of the configuration files that can be read.
_pgbackstop_stanzas() {
  local file=${PGBACKREST_CONFIG-} path=${PGBACKREST_CONFIG_PATH-} include=${PGBACKREST_CONFIG_INCLUDE_PATH-}
  local word line names=''
  for word in "${words[@]}"; do
    case $word in
      --config=*) file=${word#*=} ;;
      --config-path=*) path=${word#*=} ;;
      --config-include-path=*) include=${word#*=} ;;
    esac
  done
  [[ $file || $include ]] || include=${path:-/etc/pgbackrest}/conf.d
  for file in "${file:-${path:-/etc/pgbackrest}/pgbackrest.conf}" ${include:+"$include"/*.conf}; do
    file=${file/#\~\//$HOME/}
    [[ -f $file && -r $file ]] || continue
    while IFS= read -r line || [[ $line ]]; do
      if [[ $line =~ ^[[:space:]]*\[([^]:]+)(:[^]]*)?\][[:space:]]*$ && ${BASH_REMATCH[1]} != global ]]; then
        names+=" ${BASH_REMATCH[1]}"
      fi
    done <"$file"
  done
  _pgbackstop_words "$names" "$1"
}
