_pgbackstop() {
  # The command, how many words follow it, and the option that waits for the current word as its value.
  local command='' help='' waiting='' word name key kind
  local -a options choices
  local -i parameters=0 at
  for ((at = 2; at < CURRENT; at++)); do
    word=$words[at]
    if [[ -n $waiting ]]; then
      waiting=''
    elif [[ $word == --*=* || $word == --no-* || $word == --reset-* ]]; then
      :
    elif [[ $word == --* ]]; then
      _pgbackstop_name ${word#--}
      _pgbackstop_switch $name || waiting=${word#--}
    elif [[ -n $command ]]; then
      parameters+=1
    elif [[ $word == help && -z $help ]]; then
      help=y
    else
      command=$word
    fi
  done

  if [[ -n $waiting ]]; then
    _pgbackstop_name $waiting
    _pgbackstop_value
  elif [[ $PREFIX == --*=* ]]; then
    _pgbackstop_name ${${PREFIX%%=*}#--}
    IPREFIX+=${PREFIX%%=*}=
    PREFIX=${PREFIX#*=}
    _pgbackstop_value
  elif [[ $PREFIX == -* ]]; then
    _pgbackstop_option
  elif [[ -z $command ]]; then
    _pgbackstop_commands
    _describe -t commands 'command' options
  elif [[ -n $help ]]; then
    # After "help COMMAND": names without a number.
    _pgbackstop_options "$command"
    options=(${${options//N-/-}//[=!]:/:})
    ((parameters > 0)) || _describe -t options 'option' options
  elif [[ $command == archive-push || ($command == archive-get && $parameters == 1) ]]; then
    _files
  fi
}

# repoN-path into "name" and 2 into "key", of repo2-path.
_pgbackstop_name() {
  local -a match mbegin mend
  name=$1 key=''
  if [[ $1 =~ '^(repo|pg)([0-9]+)(-.*)?$' ]]; then
    name=${match[1]}N${match[3]} key=$match[2]
  fi
}

_pgbackstop_value() {
  _pgbackstop_choices "$command/$name"
  case $kind in
    (directory) _files -/ ;;
    (file) _files ;;
    (stanza)
      _pgbackstop_stanzas
      _describe -t stanzas 'stanza' choices
      ;;
    (*)
      if (($#choices == 0)) && _pgbackstop_switch $name; then choices=(n y); fi
      if (($#choices > 0)); then _describe -t values 'value' choices; else _message 'value'; fi
      ;;
  esac
}

_pgbackstop_option() {
  local prefix='' one form
  local -a switches=() valued=()
  case $PREFIX in
    (--no-*) prefix=no- ;;
    (--reset-*) prefix=reset- ;;
  esac
  _pgbackstop_name ${PREFIX#--$prefix}
  _pgbackstop_options "$command"
  for one in $options; do
    form=${one%%:*}
    [[ $form == *'!' ]] && continue
    case $prefix in
      (no-) _pgbackstop_negate ${form%=} || continue ;;
      (reset-) _pgbackstop_keep ${form%=} && continue ;;
    esac
    name=--$prefix${${form%=}/N-/${key:-1}-}:${one#*:}
    if [[ $form == *= && -z $prefix ]]; then valued+=($name); else switches+=($name); fi
  done
  (($#valued == 0)) || _describe -o -t options 'option' valued -S =
  (($#switches == 0)) || _describe -o -t options 'option' switches
  if [[ -z $prefix ]]; then
    options=('--no-:the opposite of an option' '--reset-:the default instead of what is configured')
    _describe -o -t options 'option' options -S ''
  fi
}

# The sections of the configuration files that can be read, into "choices".
_pgbackstop_stanzas() {
  local file=$PGBACKREST_CONFIG config_path=$PGBACKREST_CONFIG_PATH include=$PGBACKREST_CONFIG_INCLUDE_PATH
  local word line
  local -a match mbegin mend files
  for word in $words; do
    case $word in
      (--config=*) file=${word#*=} ;;
      (--config-path=*) config_path=${word#*=} ;;
      (--config-include-path=*) include=${word#*=} ;;
    esac
  done
  [[ -n $file || -n $include ]] || include=${config_path:-/etc/pgbackrest}/conf.d
  files=(${file:-${config_path:-/etc/pgbackrest}/pgbackrest.conf})
  [[ -z $include ]] || files+=($include/*.conf(N))
  choices=()
  for file in ${files/#\~\//$HOME/}; do
    [[ -f $file && -r $file ]] || continue
    while IFS= read -r line || [[ -n $line ]]; do
      if [[ $line =~ '^[[:space:]]*\[([^]:]+)(:[^]]*)?\][[:space:]]*$' && $match[1] != global ]]; then
        choices+=($match[1])
      fi
    done <$file
  done
  choices=(${(u)choices})
}
