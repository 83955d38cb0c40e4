# Completion of pgbackstop and pgbackrest for bash, printed from the option table by "npm run generate".
# Copy it into /etc/bash_completion.d, or source it from ~/.bashrc.

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

_pgbackstop_commands() {
  echo 'annotate archive-get archive-push backup check expire help info repo-get repo-ls restore server server-ping stanza-create stanza-delete stanza-upgrade start stop verify version'
}

# Is an option complete without a value?
_pgbackstop_switch() {
  case $1 in
    allow-root | archive-async | archive-check | archive-copy | archive-header-check | archive-missing-retry | archive-mode-check | backup-fan-out | backup-standby | beta | checksum-page | compress | delta | dry-run | expire-auto | force | help | ignore-missing | link-all | log-subprocess | log-timestamp | neutral-umask | oldest | online | page-header-check | pgN-local | raw | recurse | repoN-block | repoN-bundle | repoN-hardlink | repoN-local | repoN-s3-requester-pays | repoN-storage-verify-tls | repoN-symlink | report | resume | sck-block | sck-keep-alive | start-fast | stop-auto | target-exclusive | verbose | version) return 0 ;;
  esac
  return 1
}

# Does an option have a form with --no-?
_pgbackstop_negate() {
  case $1 in
    allow-root | archive-async | archive-check | archive-copy | archive-header-check | archive-missing-retry | archive-mode-check | backup-fan-out | backup-standby | beta | checksum-page | compress | config | delta | expire-auto | link-all | log-subprocess | log-timestamp | neutral-umask | online | page-header-check | pgN-local | repoN-block | repoN-bundle | repoN-hardlink | repoN-local | repoN-s3-requester-pays | repoN-storage-verify-tls | repoN-symlink | resume | sck-block | sck-keep-alive | start-fast | stop-auto) return 0 ;;
  esac
  return 1
}

# Does an option have no form with --reset-?
_pgbackstop_keep() {
  case $1 in
    archive-expire-before | cipher-pass | config | config-include-path | config-path | detail-level | dry-run | exec-id | filter | force | help | ignore-missing | lock | oldest | online | output | pg | process | raw | recurse | reference | remote-type | repo | report | set | sort | stanza | target | target-action | target-exclusive | target-timeline | type | verbose | version) return 0 ;;
  esac
  return 1
}

# The options of a command into "options": N stands for a number, "=" for a value; "!" is not for the command line.
_pgbackstop_options() {
  options=''
  case $1 in
    '' | annotate | archive-get | archive-push | backup | check | expire | info | manifest | repo-get | repo-ls | repo-put | repo-rm | restore | server | server-ping | stanza-create | stanza-delete | stanza-upgrade | start | stop | verify) options+=' allow-root config= config-include-path= config-path= log-level-console= log-level-file= log-level-stderr= log-path= log-timestamp priority=' ;;&
    '' | annotate | backup) options+=' annotation=' ;;&
    '' | archive-get | archive-push) options+=' archive-async spool-path=' ;;&
    '' | archive-push | backup | check) options+=' archive-check archive-mode-check' ;;&
    '' | backup) options+=' archive-copy backup-fan-out checksum-page exclude= expire-auto manifest-save-threshold= page-header-check repoN-block repoN-bundle repoN-bundle-limit= repoN-bundle-size= repoN-hardlink resume start-fast' ;;&
    '' | expire) options+=' archive-expire-before= dry-run oldest' ;;&
    '' | archive-get) options+=' archive-get-queue-max= archive-missing-retry' ;;&
    '' | archive-push) options+=' archive-header-check archive-push-batch-size= archive-push-queue-max=' ;;&
    '' | restore) options+=' archive-mode= db-exclude= db-include= link-all link-map= recovery-option= tablespace-map= tablespace-map-all= target= target-action= target-exclusive target-timeline=' ;;&
    '' | archive-get | archive-push | backup | check) options+=' archive-timeout=' ;;&
    '' | backup | check) options+=' backup-standby=' ;;&
    '' | annotate | archive-get | archive-push | backup | check | expire | info | manifest | repo-get | repo-ls | repo-put | repo-rm | restore | server | server-ping | stanza-create | stanza-delete | stanza-upgrade | verify) options+=' buffer-size= io-timeout= sck-keep-alive tcp-keep-alive-count= tcp-keep-alive-idle= tcp-keep-alive-interval= tls-cipher-12= tls-cipher-13=' ;;&
    '' | archive-get | archive-push | backup | restore | verify) options+=' cmd= process-max=' ;;&
    '' | annotate | archive-get | archive-push | backup | check | expire | info | manifest | repo-get | repo-ls | repo-put | repo-rm | restore | stanza-create | stanza-delete | stanza-upgrade | verify) options+=' cmd-ssh= compress-level-network= log-subprocess repoN-azure-account! repoN-azure-container= repoN-azure-endpoint! repoN-azure-key! repoN-azure-key-type= repoN-azure-uri-style= repoN-cipher-pass! repoN-cipher-type= repoN-gcs-bucket= repoN-gcs-endpoint= repoN-gcs-key! repoN-gcs-key-type= repoN-gcs-user-project= repoN-host= repoN-host-ca-file= repoN-host-ca-path= repoN-host-cert-file= repoN-host-cmd= repoN-host-config= repoN-host-config-include-path= repoN-host-config-path= repoN-host-key-file= repoN-host-port= repoN-host-type= repoN-host-user= repoN-path= repoN-s3-bucket= repoN-s3-endpoint= repoN-s3-key! repoN-s3-key-secret! repoN-s3-key-type= repoN-s3-kms-key-id= repoN-s3-object-lock-days= repoN-s3-object-lock-mode= repoN-s3-process-cmd= repoN-s3-region= repoN-s3-requester-pays repoN-s3-role= repoN-s3-service= repoN-s3-sse-customer-key! repoN-s3-sts-host= repoN-s3-token! repoN-s3-uri-style= repoN-sftp-host= repoN-sftp-host-fingerprint= repoN-sftp-host-key-check-type= repoN-sftp-host-key-hash-type= repoN-sftp-host-port= repoN-sftp-host-user= repoN-sftp-known-host= repoN-sftp-private-key-file= repoN-sftp-private-key-passphrase! repoN-sftp-public-key-file= repoN-storage-ca-file= repoN-storage-ca-path= repoN-storage-host= repoN-storage-port= repoN-storage-tag= repoN-storage-upload-chunk-size= repoN-storage-verify-tls repoN-type=' ;;&
    '' | archive-push | backup) options+=' compress compress-level= compress-type=' ;;&
    '' | backup | check | stanza-create | stanza-delete | stanza-upgrade) options+=' db-timeout= pgN-database= pgN-port= pgN-socket-path= pgN-user=' ;;&
    '' | backup | restore) options+=' delta' ;;&
    '' | info) options+=' detail-level=' ;;&
    '' | manifest | repo-ls) options+=' filter=' ;;&
    '' | backup | restore | stanza-delete | stop) options+=' force' ;;&
    '' | help) options+=' help version' ;;&
    '' | repo-get) options+=' ignore-missing' ;;&
    '' | annotate | archive-get | archive-push | backup | expire | info | restore | stanza-create | stanza-delete | stanza-upgrade | start | stop) options+=' lock-path=' ;;&
    '' | annotate | archive-get | archive-push | backup | check | expire | repo-get | repo-ls | repo-put | repo-rm | restore | stanza-create | stanza-delete | stanza-upgrade | start | stop | verify) options+=' neutral-umask' ;;&
    '' | backup | stanza-create | stanza-upgrade) options+=' online' ;;&
    '' | info | manifest | repo-ls | verify | version) options+=' output=' ;;&
    '' | backup | check | manifest | stanza-create | stanza-delete | stanza-upgrade) options+=' pgN-host= pgN-host-ca-file= pgN-host-ca-path= pgN-host-cert-file= pgN-host-cmd= pgN-host-config= pgN-host-config-include-path= pgN-host-config-path= pgN-host-key-file= pgN-host-port= pgN-host-type= pgN-host-user=' ;;&
    '' | archive-get | archive-push | backup | check | manifest | restore | stanza-create | stanza-delete | stanza-upgrade) options+=' pgN-path=' ;;&
    '' | archive-get | archive-push | backup | check | manifest | restore | stanza-create | stanza-delete | stanza-upgrade | verify) options+=' pg-version-force=' ;;&
    '' | annotate | archive-get | archive-push | backup | check | expire | info | manifest | repo-get | repo-ls | repo-put | repo-rm | restore | server | stanza-create | stanza-delete | stanza-upgrade | verify) options+=' protocol-timeout=' ;;&
    '' | repo-get | repo-put) options+=' raw' ;;&
    '' | repo-ls | repo-rm) options+=' recurse' ;;&
    '' | manifest) options+=' reference=' ;;&
    '' | annotate | archive-get | backup | expire | info | manifest | repo-get | repo-ls | repo-put | repo-rm | restore | stanza-delete | verify) options+=' repo=' ;;&
    '' | backup | expire) options+=' repoN-retention-archive= repoN-retention-archive-type= repoN-retention-diff= repoN-retention-full= repoN-retention-full-type= repoN-retention-history= repoN-symlink' ;;&
    '' | archive-get | info | manifest | repo-get | repo-ls | restore | verify) options+=' repo-target-time=' ;;&
    '' | annotate | expire | info | manifest | restore | verify) options+=' set=' ;;&
    '' | repo-ls) options+=' sort=' ;;&
    '' | annotate | archive-get | archive-push | backup | check | expire | info | manifest | restore | stanza-create | stanza-delete | stanza-upgrade | start | stop | verify) options+=' stanza=' ;;&
    '' | server | server-ping) options+=' tls-server-address= tls-server-port=' ;;&
    '' | server) options+=' tls-server-auth= tls-server-ca-file= tls-server-cert-file= tls-server-key-file=' ;;&
    '' | backup | info | restore) options+=' type=' ;;&
    '' | verify) options+=' verbose' ;;&
  esac
}

# What may stand as value of an option: words into "choices", or a kind of name into "kind".
_pgbackstop_choices() {
  choices='' kind=''
  case $1/$2 in
    verify/output) choices='none text' ;;
    version/output) choices='text num' ;;
    backup/type) choices='full diff incr' ;;
    info/type) choices='full diff incr' ;;
    restore/type) choices='default preserve immediate standby none name time lsn xid' ;;
    */archive-mode) choices='preserve off' ;;
    */backup-standby) choices='n prefer y' ;;
    */buffer-size) choices='16KiB 32KiB 64KiB 128KiB 256KiB 512KiB 1MiB 2MiB 4MiB 8MiB 16MiB' ;;
    */compress-type) choices='none bz2 gz lz4 zst' ;;
    */detail-level) choices='full progress' ;;
    */log-level-console | */log-level-file | */log-level-stderr) choices='off error warn info detail debug trace' ;;
    */output) choices='text json none num' ;;
    */pgN-host-type | */repoN-host-type) choices='ssh tls' ;;
    */repoN-azure-key-type) choices='shared sas auto' ;;
    */repoN-azure-uri-style | */repoN-s3-uri-style) choices='host path' ;;
    */repoN-cipher-type) choices='none aes-256-cbc' ;;
    */repoN-gcs-key-type) choices='service token auto' ;;
    */repoN-retention-archive-type) choices='full diff incr' ;;
    */repoN-retention-full-type) choices='count time' ;;
    */repoN-s3-key-type) choices='shared auto web-id pod-id process default' ;;
    */repoN-s3-object-lock-mode) choices='governance compliance' ;;
    */repoN-sftp-host-key-check-type) choices='accept-new fingerprint none strict' ;;
    */repoN-sftp-host-key-hash-type) choices='md5 sha1 sha256' ;;
    */repoN-type) choices='azure cifs gcs posix s3 sftp' ;;
    */sort) choices='none asc desc' ;;
    */target-action) choices='pause promote shutdown' ;;
    */type) choices='full diff incr default preserve immediate standby none name time lsn xid' ;;
    */stanza) kind=stanza ;;
    */config-include-path | */config-path | */lock-path | */log-path | */pgN-host-ca-path | */pgN-host-config-include-path | */pgN-host-config-path | */pgN-path | */pgN-socket-path | */repoN-host-ca-path | */repoN-host-config-include-path | */repoN-host-config-path | */repoN-path | */repoN-storage-ca-path | */spool-path | */tablespace-map-all) kind=directory ;;
    */cmd | */config | */pgN-host-ca-file | */pgN-host-cert-file | */pgN-host-config | */pgN-host-key-file | */repoN-host-ca-file | */repoN-host-cert-file | */repoN-host-config | */repoN-host-key-file | */repoN-sftp-known-host | */repoN-sftp-private-key-file | */repoN-sftp-public-key-file | */repoN-storage-ca-file | */tls-server-ca-file | */tls-server-cert-file | */tls-server-key-file) kind=file ;;
  esac
}

complete -F _pgbackstop pgbackstop pgbackrest
